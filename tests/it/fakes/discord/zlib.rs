//! The compression that a client may ask for: correct zlib that makes nothing smaller, because it stores.

/// As much as fits into a stored block.
const BLOCK: usize = 0xffff;

/// One message of a stream; the first one begins it.
pub(super) fn piece(first: bool, text: &str) -> Vec<u8> {
    let mut out = if first { vec![0x78, 0x01] } else { Vec::new() };
    for block in text.as_bytes().chunks(BLOCK) {
        stored(&mut out, block, false);
    }
    // An empty block flushes: four bytes by which a client knows that a message is whole.
    stored(&mut out, &[], false);
    out
}

/// A message compressed by itself.
pub(super) fn whole(text: &str) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    for block in text.as_bytes().chunks(BLOCK) {
        stored(&mut out, block, false);
    }
    stored(&mut out, &[], true);
    let (low, high) = text.bytes().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    out.extend((high << 16 | low).to_be_bytes());
    out
}

fn stored(out: &mut Vec<u8>, block: &[u8], last: bool) {
    let length = u16::try_from(block.len()).unwrap();
    out.push(u8::from(last));
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend_from_slice(block);
}
