use std::cell::RefCell;

use super::{ClientError, ClientErrorKind};
use crate::jose::base64url;

/// The 128 random bits of a `jti` (RFC 9449 section 4.2).
const LEN: usize = 16;
/// The operating system is asked once for this many. A call of it takes longer than all the rest of a proof
/// without its signature.
const AT_ONCE: usize = 16;

thread_local! {
    static AHEAD: RefCell<Vec<[u8; LEN]>> = const { RefCell::new(Vec::new()) };
}

/// Returns the text of a new `jti`.
pub(super) fn new_jti() -> Result<String, ClientError> {
    AHEAD.with_borrow_mut(|ahead| {
        if let Some(random) = ahead.pop() {
            return Ok(base64url::encode(&random));
        }
        let mut random = [[0; LEN]; AT_ONCE];
        getrandom::fill(random.as_flattened_mut()).map_err(|error| {
            let message = "the operating system has no randomness for the proof";
            ClientError::new(ClientErrorKind::Randomness, message).with_source(error)
        })?;
        let [first, others @ ..] = random;
        ahead.extend(others);
        Ok(base64url::encode(&first))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn no_two_are_the_same_whatever_the_thread() {
        let many = || (0..10 * AT_ONCE).map(|_| new_jti().unwrap()).collect();
        let threads: Vec<thread::JoinHandle<Vec<_>>> =
            (0..4).map(|_| thread::spawn(many)).collect();
        let all: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        let unique: HashSet<_> = all.iter().collect();
        assert_eq!(unique.len(), 4 * 10 * AT_ONCE);
        assert!(all.iter().all(|jti| jti.len() == 22));
    }
}
