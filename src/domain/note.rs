//! Checkpoints: what the ledger was at one size, as a C2SP signed note (tlog-checkpoint, signed-note, Ed25519).

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Hash;

/// The number of Ed25519 in signed notes.
const ED25519: u8 = 1;
const PRIVATE: &str = "PRIVATE+KEY+";

/// What the ledger was at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose ledger; also the name of its key.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a text is not a checkpoint of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note of a checkpoint.
    #[error("this is no signed checkpoint: {0}")]
    Malformed(&'static str),
    /// It is no key as C2SP writes them.
    #[error("this is no key of the form `name+id+base64`")]
    BadKey,
    /// No signature on it is by the key.
    #[error("it is not signed by `{0}`")]
    OtherKey(String),
    /// The signature is wrong.
    #[error("the signature by `{0}` is forged, or the text was changed")]
    Forged(String),
}

impl Checkpoint {
    /// What is signed: origin, size and root, a line each.
    pub fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(&self.root)
        )
    }

    /// Reads a note without looking at its signatures.
    ///
    /// White space around lines is forgiven, because people paste notes from threads.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let mut lines = note.trim().lines().map(str::trim);
        let mut line = |missing| lines.next().ok_or(NoteError::Malformed(missing));
        let origin = line("it has no origin")?.to_owned();
        let size = line("it has no size")?;
        let root = line("it has no root")?;
        if !line("it has no signature")?.is_empty() {
            return Err(NoteError::Malformed(
                "no empty line stands before the signature",
            ));
        }
        Ok(Self {
            origin,
            size: size
                .parse()
                .ok()
                .filter(|n: &u64| n.to_string() == size)
                .ok_or(NoteError::Malformed("its size is no number"))?,
            root: BASE64
                .decode(root.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(NoteError::Malformed("its root is no hash"))?,
        })
    }
}

/// The public half of a ledger's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: VerifyingKey,
}

impl NoteKey {
    /// Reads `name+id+base64`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let bytes = decode_key(key)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoteError::BadKey)?;
        let read = Self {
            name: name.to_owned(),
            key,
        };
        if name.is_empty() || HEXLOWER.encode(&read.id()) != id {
            return Err(NoteError::BadKey);
        }
        Ok(read)
    }

    /// The ledger that the key signs for.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Reads a note and checks that this key signed it.
    pub fn verify(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::parse(note)?;
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherKey(self.name.clone()));
        }
        self.verify_text(&checkpoint.body(), note)?;
        Ok(checkpoint)
    }

    fn verify_text(&self, body: &str, note: &str) -> Result<(), NoteError> {
        let begins = format!("— {} ", self.name);
        let signature = note
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&begins))
            .filter_map(|encoded| BASE64.decode(encoded.as_bytes()).ok())
            .find_map(|bytes| {
                let bytes: [u8; 68] = bytes.try_into().ok()?;
                let signature = bytes.strip_prefix(&self.id())?;
                Signature::from_slice(signature).ok()
            })
            .ok_or_else(|| NoteError::OtherKey(self.name.clone()))?;
        self.key
            .verify_strict(body.as_bytes(), &signature)
            .map_err(|_| NoteError::Forged(self.name.clone()))
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, key) = (HEXLOWER.encode(&self.id()), encode_key(self.key.as_bytes()));
        write!(f, "{}+{id}+{key}", self.name)
    }
}

/// The private half of a ledger's key. Prints nowhere but into its own file.
pub struct NoteSigner {
    public: NoteKey,
    secret: SigningKey,
}

impl NoteSigner {
    /// Makes the key of a seed, which must be random.
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(seed);
        Self {
            public: NoteKey {
                name: name.to_owned(),
                key: secret.verifying_key(),
            },
            secret,
        }
    }

    /// Reads what [`NoteSigner::file_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let parts = text.trim().strip_prefix(PRIVATE);
        let mut parts = parts.ok_or(NoteError::BadKey)?.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let signer = Self::new(name, &decode_key(seed)?);
        if HEXLOWER.encode(&signer.public.id()) == id {
            Ok(signer)
        } else {
            Err(NoteError::BadKey)
        }
    }

    /// Thirty-two bytes that only whoever holds the key can make of the label: a key for something else.
    pub fn derive(&self, label: &[u8]) -> [u8; 32] {
        let mut made =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length is a key");
        made.update(b"midwatch derived key\n");
        made.update(label);
        made.finalize().into_bytes().into()
    }

    /// What its file holds. Secret.
    pub fn file_text(&self) -> String {
        let (id, seed) = (
            HEXLOWER.encode(&self.public.id()),
            encode_key(self.secret.as_bytes()),
        );
        format!("{PRIVATE}{}+{id}+{seed}\n", self.public.name)
    }

    /// The public half.
    pub fn public(&self) -> &NoteKey {
        &self.public
    }

    /// The signed note of a tree of this size and root.
    pub fn sign(&self, size: u64, root: Hash) -> String {
        let body = Checkpoint {
            origin: self.public.name.clone(),
            size,
            root,
        }
        .body();
        let mut signed = self.public.id().to_vec();
        signed.extend(self.secret.sign(body.as_bytes()).to_bytes());
        format!(
            "{body}\n— {} {}\n",
            self.public.name,
            BASE64.encode(&signed)
        )
    }
}

fn encode_key(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend(key);
    BASE64.encode(&bytes)
}

fn decode_key(text: &str) -> Result<[u8; 32], NoteError> {
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|_| NoteError::BadKey)?;
    match bytes.split_first() {
        Some((&ED25519, key)) => key.try_into().map_err(|_| NoteError::BadKey),
        _ => Err(NoteError::BadKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_another_implementation_is_verified() {
        // The example in the documentation of Go's golang.org/x/mod/sumdb/note.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let body = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let note = format!(
            "{body}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        let read = NoteKey::parse(key).unwrap();
        assert_eq!(read.to_string(), key);
        assert_eq!(read.verify_text(body, &note), Ok(()));
        assert_eq!(
            read.verify_text(&body.replace("you", "we"), &note),
            Err(NoteError::Forged("PeterNeumann".to_owned()))
        );
    }

    #[test]
    fn a_key_survives_its_file_and_signs_the_same() {
        let signer = NoteSigner::new("midwatch/1", &[7; 32]);
        let read = NoteSigner::parse(&signer.file_text()).unwrap();
        let note = read.sign(3, [9; 32]);
        assert_eq!(note, signer.sign(3, [9; 32]));
        let public = NoteKey::parse(&signer.public().to_string()).unwrap();
        let checkpoint = public.verify(&note).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (3, [9; 32]));
    }

    #[test]
    fn a_note_pasted_from_a_thread_is_verified() {
        let signer = NoteSigner::new("midwatch/1", &[7; 32]);
        let pasted = format!("  {}", signer.sign(3, [9; 32]).replace('\n', "  \r\n  "));
        assert!(signer.public().verify(&pasted).is_ok());
    }

    #[test]
    fn a_changed_or_foreign_note_is_refused() {
        let signer = NoteSigner::new("midwatch/1", &[7; 32]);
        let other = NoteSigner::new("midwatch/1", &[8; 32]);
        let note = signer.sign(3, [9; 32]);
        let key = signer.public();
        for (name, text) in [
            ("other size", note.replacen('3', "4", 1)),
            ("padded size", note.replacen("\n3\n", "\n03\n", 1)),
            ("other root", note.replacen("CQkJ", "CQkK", 1)),
            ("other origin", note.replacen("midwatch/1", "midwatch/2", 1)),
            ("other key", other.sign(3, [9; 32])),
            (
                "no signature",
                note.split_once("\n\n").unwrap().0.to_owned(),
            ),
            ("nothing", String::new()),
        ] {
            assert!(key.verify(&text).is_err(), "{name}");
        }
    }
}
