//! The one error of the core; `py/` maps each kind to the Python class of the same meaning.

/// Everything that a caller can get wrong, found before any loop starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// Arrays do not fit together.
    #[error("{0}")]
    Shape(String),
    /// The content of an array cannot be used.
    #[error("{0}")]
    Data(String),
    /// A setting is out of range or does not exist.
    #[error("{0}")]
    Config(String),
    /// A saved file is damaged, of another kind or of another version.
    #[error("{0}")]
    Artifact(String),
    /// A caller asked a long computation to stop.
    #[error("stopped before the work was done")]
    Stopped,
}

/// A result whose error is [`CoreError`].
pub type Result<T> = std::result::Result<T, CoreError>;

impl CoreError {
    /// An unknown name, with the names that exist.
    pub fn unknown(what: &str, got: &str, choices: &[&str]) -> Self {
        let choices = choices.join(", ");
        Self::Config(format!("unknown {what} \"{got}\"; choose from {choices}"))
    }
}
