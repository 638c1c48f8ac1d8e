//! Makes texts shorter, so that what matters stays: beginnings of words, heads and tails of output.

/// The text, or as much of its beginning as fits, with `…`.
pub(in crate::chat) fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let Some(room) = limit.checked_sub(1) else {
        return String::new();
    };
    text.chars().take(room).chain(['…']).collect()
}

/// The output, or its head and tail with `… N lines …` between them.
pub(in crate::chat) fn cut_in_the_middle(output: &str, limit: usize) -> String {
    if output.chars().count() <= limit {
        return output.to_owned();
    }
    let room = limit.saturating_sub("\n… 1000000 characters …\n".chars().count()) / 2;
    let lines: Vec<&str> = output.lines().collect();
    let head = fitting(lines.iter(), room);
    let tail = fitting(lines[head..].iter().rev(), room);
    if head == 0 || tail == 0 {
        return cut_characters(output, room);
    }
    let (end, hidden) = (lines.len() - tail, lines.len() - tail - head);
    format!(
        "{}\n… {hidden} lines …\n{}",
        lines[..head].join("\n"),
        lines[end..].join("\n")
    )
}

/// How many lines fit.
fn fitting<'a>(lines: impl Iterator<Item = &'a &'a str>, room: usize) -> usize {
    let mut used = 0;
    let fits = lines.take_while(|line| {
        used += line.chars().count() + 1;
        used <= room
    });
    fits.count()
}

fn cut_characters(output: &str, room: usize) -> String {
    let characters: Vec<char> = output.chars().collect();
    let room = room.min(characters.len() / 2);
    let head: String = characters[..room].iter().collect();
    let tail: String = characters[characters.len() - room..].iter().collect();
    format!(
        "{head}\n… {} characters …\n{tail}",
        characters.len() - 2 * room
    )
}
