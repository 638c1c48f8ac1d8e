//! Discord's key pair, with which it signs what it sends to an app.

use ed25519_dalek::{Signer, SigningKey};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x4d; 32])
}

/// What an operator sets as the app's public key: hexadecimal.
pub(crate) fn public_key() -> String {
    data_encoding::HEXLOWER.encode(key().verifying_key().as_bytes())
}

/// The two headers with which Discord signs a body.
pub(crate) fn signed(at_secs: i64, body: &[u8]) -> [(&'static str, String); 2] {
    let mut message = at_secs.to_string().into_bytes();
    message.extend_from_slice(body);
    let signature = signature_of(&message);
    [
        ("x-signature-timestamp", at_secs.to_string()),
        (
            "x-signature-ed25519",
            data_encoding::HEXLOWER.encode(&signature),
        ),
    ]
}

/// The signature of these very bytes.
pub(crate) fn signature_of(bytes: &[u8]) -> [u8; 64] {
    key().sign(bytes).to_bytes()
}
