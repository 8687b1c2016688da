use std::{
    error::Error,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{OAuthError, OAuthErrorKind, TokenSet};
use crate::{error::BoxError, future::MaybeReady};

/// The maximum length of a file with tokens in bytes.
const MAX_LEN: u64 = 256 * 1024;

/// Where [`RenewingTokens`](super::RenewingTokens) keep their tokens between runs of the program.
///
/// # Security
///
/// Anyone who reads the refresh token can use it if they also have the client's key. Keep both from others.
///
/// A `save` that returns before the tokens are safe loses the login of the user if the machine crashes, since the
/// server may no longer accept the refresh token that was saved before.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Loads the tokens that were saved last.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not known whether there are tokens.
    fn load(&self) -> MaybeReady<Result<Option<TokenSet>, TokenStoreError>>;

    /// Replaces the tokens, and is ready when they would survive a crash.
    ///
    /// # Errors
    ///
    /// Returns an error if the tokens may not survive.
    fn save(&self, tokens: &TokenSet) -> MaybeReady<Result<(), TokenStoreError>>;
}

impl<T: TokenStore + ?Sized> TokenStore for Arc<T> {
    fn load(&self) -> MaybeReady<Result<Option<TokenSet>, TokenStoreError>> {
        (**self).load()
    }

    fn save(&self, tokens: &TokenSet) -> MaybeReady<Result<(), TokenStoreError>> {
        (**self).save(tokens)
    }
}

/// The error of a [`TokenStore`].
#[derive(Debug)]
pub struct TokenStoreError(BoxError);

impl TokenStoreError {
    /// Wraps the error of the storage. It must not contain a token.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for TokenStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token store failed: {}", self.0)
    }
}

impl Error for TokenStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<TokenStoreError> for OAuthError {
    fn from(error: TokenStoreError) -> Self {
        Self::new(OAuthErrorKind::Store, error.to_string()).with_source(error)
    }
}

/// A [`TokenStore`] in one file, which only its owner can read.
///
/// Saving writes a new file, waits until it is on the disk, and renames it. After a crash, there are the old
/// tokens or the new ones. On systems other than Unix, the file has the permissions of its folder.
#[derive(Clone, Debug)]
pub struct FileTokenStore {
    path: PathBuf,
}

impl FileTokenStore {
    /// Returns the store in this file, which need not exist. Its folder has to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl TokenStore for FileTokenStore {
    fn load(&self) -> MaybeReady<Result<Option<TokenSet>, TokenStoreError>> {
        let path = self.path.clone();
        blocking(move || {
            let Some(text) = read(&path).map_err(TokenStoreError::new)? else {
                return Ok(None);
            };
            TokenSet::from_json(&text)
                .map(Some)
                .map_err(TokenStoreError::new)
        })
    }

    fn save(&self, tokens: &TokenSet) -> MaybeReady<Result<(), TokenStoreError>> {
        let (path, json) = (self.path.clone(), tokens.to_json());
        blocking(move || replace(&path, json.as_str()).map_err(TokenStoreError::new))
    }
}

fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TokenStoreError> + Send + 'static,
) -> MaybeReady<Result<T, TokenStoreError>> {
    MaybeReady::pending(async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(TokenStoreError::new(error)))
    })
}

fn read(path: &Path) -> io::Result<Option<zeroize::Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(MAX_LEN).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("it is not the path of a file"))?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut beside = name.to_os_string();
    beside.push(format!(".{:016x}.new", u64::from_le_bytes(random)));
    let beside = path.with_file_name(beside);
    let replaced = write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // It is not there if it could not be created.
        let _ = fs::remove_file(&beside);
    }
    replaced?;
    sync_folder(path)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A rename is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
