//! What must hold in the end: nothing lost, nothing doubled, every thread tells the truth, the ledger proves itself.

use midwatch::domain::{
    Block, Fact, Hash, Outcome, Place, PostingKind, Run, RunEvent, leaf_hash, render,
};
use midwatch::store::{MessageRef, PostingId};
use sha2::{Digest, Sha256};

use super::World;
use super::ground::Violation;
use super::judge::check;

impl World<'_> {
    /// Everything is at rest. Is it as it must be?
    pub(super) fn judge_rest(&self) -> Result<(), Violation> {
        let lost = self.judge.received.difference(&self.judge.concluded);
        let lost: Vec<_> = lost.collect();
        check(lost.is_empty(), || {
            format!("received and forgotten: {lost:?}")
        })?;
        for run in self.ground.book.runs() {
            let ended = run.outcome().filter(|it| *it != Outcome::NeedsAttention);
            check(ended.is_some(), || {
                format!("run {} does not end: {:?}", run.reference, run.phase)
            })?;
            self.judge.not_doubled(run, &self.target)?;
            for place in run.places() {
                self.judge_thread(run, place).map_err(|what| {
                    format!(
                        "the thread of run {} in {}: {what}",
                        run.reference, place.channel
                    )
                })?;
            }
            self.is_told_nowhere_else(run)?;
        }
        self.judge_ledger()?;
        self.ground.compare_all()
    }

    /// One root that says what is true; each line once, in order, under it; the final state last.
    fn judge_thread(&self, run: &Run, place: &Place) -> Result<(), Violation> {
        let of_thread = |it: &&(PostingId, PostingKind, Option<_>, String)| {
            it.2 == Some(run.id) && it.3 == place.channel
        };
        let owed = self.ground.book.owed.iter().filter(of_thread);
        let (roots, lines): (Vec<_>, Vec<_>) =
            owed.partition(|(_, kind, ..)| *kind == PostingKind::Root);
        check(roots.len() == 1, || {
            format!("{} root messages are owed", roots.len())
        })?;
        let standing = self.platform.shown();
        let standing: Vec<_> = standing
            .filter(|(_, it)| it.run == Some(run.id) && it.channel == place.channel)
            .collect();
        let ids = standing.iter().map(|(_, it)| it.id);
        let (root, told): (Vec<_>, Vec<_>) = { ids }.partition(|id| *id == roots[0].0);
        check(root.len() == 1, || {
            format!("{} root messages stand there", root.len())
        })?;
        let expected: Vec<PostingId> = lines.iter().map(|(id, ..)| *id).collect();
        check(told == expected, || {
            format!("its lines are {told:?}, and should be {expected:?}")
        })?;
        let (at, root) = &standing[0];
        check(root.id == roots[0].0, || {
            "a line came before the root".to_owned()
        })?;
        // Now is long after: what has ended reads the same at any time.
        let truth = render::root(run, self.now(), None);
        let truth = render::posting(run, place, PostingKind::Root, truth).message;
        check(root.message == truth, || {
            format!("the root says {:?}, true is {truth:?}", root.message)
        })?;
        let under = place.thread.clone().map_or_else(|| at.clone(), MessageRef);
        let elsewhere = standing[1..]
            .iter()
            .find(|(_, it)| it.thread.as_ref() != Some(&under));
        check(elsewhere.is_none(), || {
            "a line stands in another thread".to_owned()
        })?;
        let last = standing.last().map(|(_, it)| &it.message.blocks[0]);
        check(last == truth.blocks.first(), || {
            format!("its last line says {last:?}, true is {:?}", truth.blocks[0])
        })
    }

    /// A reload while it went on has given it no other places.
    fn is_told_nowhere_else(&self, run: &Run) -> Result<(), Violation> {
        let mut owed = self.ground.book.owed.iter();
        let elsewhere = owed.find(|(_, _, of, channel)| {
            *of == Some(run.id) && run.places().all(|place| place.channel != *channel)
        });
        check(elsewhere.is_none(), || {
            format!("run {} is told elsewhere: {elsewhere:?}", run.reference)
        })
    }

    /// The tree as RFC 6962 defines it over the lines, and every checkpoint that stands in a thread.
    fn judge_ledger(&self) -> Result<(), Violation> {
        let book = &self.ground.book;
        let leaves: Vec<Hash> = book
            .lines
            .iter()
            .map(|it| leaf_hash(it.as_bytes()))
            .collect();
        check(book.tree.root() == root_of(&leaves), || {
            "the tree is not the one over the entries".to_owned()
        })?;
        // Each place of a run has its own witness of each end.
        let ends = book.entries.iter().filter_map(|entry| match &entry.fact {
            Fact::Run {
                run,
                happened: RunEvent::Finished { .. },
                ..
            } => Some(book.run(*run)?.places().count()),
            _ => None,
        });
        let shown = self.platform.shown();
        let notes: Vec<&str> = shown
            .filter_map(|(_, it)| note(&it.message.blocks))
            .collect();
        for note in &notes {
            let checkpoint = book.signer.public().verify(note);
            let checkpoint = checkpoint.map_err(|why| format!("a checkpoint: {why}"))?;
            let size = usize::try_from(checkpoint.size).expect("a small ledger");
            check(checkpoint.root == root_of(&leaves[..size]), || {
                format!("the checkpoint of size {size} is of other entries")
            })?;
        }
        let endings: usize = ends.sum();
        check(notes.len() == endings, || {
            format!(
                "{endings} threads ended, and {} checkpoints stand in them",
                notes.len()
            )
        })
    }
}

fn note(blocks: &[Block]) -> Option<&str> {
    blocks.iter().find_map(|block| match block {
        Block::Output(text) if text.starts_with("midwatch/") => Some(text.as_str()),
        _ => None,
    })
}

/// RFC 6962, section 2.1: split at the largest power of two below the size.
fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::new()
                .chain_update([1])
                .chain_update(root_of(left))
                .chain_update(root_of(right))
                .finalize()
                .into()
        }
    }
}
