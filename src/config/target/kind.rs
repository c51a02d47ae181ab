//! Which variables the words about a kind of target name, in the words of the first target of it.

/// What is to be set for a target of a kind, and to be looked at when it fails.
#[derive(Debug)]
pub struct KindVariables {
    /// Without any of them there is no target; the first one says where it is.
    pub needed: &'static [&'static str],
    /// Where it is.
    pub address: &'static str,
    /// What it is shown to let us in.
    pub login: &'static str,
}
