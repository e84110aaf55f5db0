//! The shared secret of a cluster. Clients say it, and nodes prove that they know it, to be admitted.

use std::fmt;
use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::MAX_SECRET_BYTES;

/// What all nodes and clients of a cluster know, and no one else. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The secret in `bytes`, without the newline that an editor leaves at the end of a file.
    ///
    /// # Errors
    /// When it is empty or too long, or has a space in it.
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() || bytes.len() > MAX_SECRET_BYTES || bytes.iter().any(u8::is_ascii_whitespace) {
            return Err(format!(
                "a secret has 1 to {MAX_SECRET_BYTES} bytes and no spaces, so that it can be typed in a plain line"
            ));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The secret in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or what it holds is no secret.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::new(&fs::read(path).map_err(|error| error.to_string())?)
    }

    /// What a client says to be admitted.
    pub fn word(&self) -> &[u8] {
        &self.0
    }

    /// Whether a client's word is the secret. Takes the same time for every wrong word: it compares two hashes.
    pub fn is(&self, word: &[u8]) -> bool {
        self.verifies(&self.prove(word), &self.0)
    }

    /// Makes a proof that this node knows the secret: HMAC-SHA-256 (RFC 2104) over a message.
    pub fn prove(&self, message: &[u8]) -> Vec<u8> {
        self.mac(message).finalize().into_bytes().to_vec()
    }

    /// Whether `proof` was made over this message with this secret. Compares in constant time.
    pub fn verifies(&self, proof: &[u8], message: &[u8]) -> bool {
        self.mac(message).verify_slice(proof).is_ok()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(message);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_must_say_the_whole_secret() {
        let secret = Secret::new(b"open-sesame\r\n").unwrap();
        assert!(secret.is(b"open-sesame"));
        for wrong in [&b""[..], b"open", b"open-sesame\n", b"open-sesamf"] {
            assert!(!secret.is(wrong));
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(Secret::new(b"\n").is_err() && Secret::new(b"two words").is_err());
    }
}
