//! The rules that a risk is made of.

/// Something that a yes would do, or may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rule {
    /// It only looks.
    Reads,
    /// It looks at what lies outside of the session's directory.
    ReadsOutside,
    /// It writes in the session's directory.
    Writes,
    /// Nothing tells what it does.
    Unknown,
    /// It deletes, or ends processes.
    Deletes,
    /// It may write over files that its line does not name.
    Unnamed,
    /// It goes to the network.
    Network,
    /// It brings in code of others, and may run it.
    Installs,
    /// It changes what lies outside of the session's directory.
    Outside,
    /// What it runs can only be seen by running it: code in a text, or named by an option or a setting.
    Hidden,
    /// It throws away work that was not kept.
    Discards,
    /// It lets a program do more from now on.
    Trusts,
    /// It deletes a directory with all that is in it.
    Recursive,
    /// It acts as another user, or on the whole machine.
    Privilege,
    /// It changes what others see: a server, a registry, a cluster.
    Remote,
    /// It trusts a host that nobody vouched for.
    HostKey,
    /// It changes directories that belong to the machine.
    System,
    /// It touches what is named like a key or a password.
    Credentials,
    /// It cannot be undone, and there is much of it.
    Destroys,
    /// It touches what the caller protects.
    Protected,
    /// A secret is asked for, which nobody but the caller has.
    Secret,
}

impl Rule {
    /// From 0 to 10.
    pub(super) fn score(self) -> u8 {
        match self {
            Self::Reads => 1,
            Self::ReadsOutside => 2,
            Self::Writes => 3,
            Self::Unknown => 5,
            Self::Deletes | Self::Unnamed | Self::Network | Self::Installs => 6,
            Self::Outside | Self::Discards | Self::Trusts => 7,
            Self::Hidden | Self::Recursive | Self::Privilege | Self::Remote | Self::HostKey => 8,
            Self::System | Self::Credentials => 9,
            Self::Destroys | Self::Protected | Self::Secret => 10,
        }
    }

    /// As it stands in an event.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::ReadsOutside => "reads outside",
            Self::Writes => "writes inside",
            Self::Unknown => "unknown",
            Self::Deletes => "deletes",
            Self::Unnamed => "overwrites unnamed",
            Self::Network => "network",
            Self::Installs => "installs",
            Self::Outside => "outside",
            Self::Hidden => "hidden",
            Self::Discards => "discards",
            Self::Trusts => "trusts",
            Self::Recursive => "deletes recursively",
            Self::Privilege => "privilege",
            Self::Remote => "remote",
            Self::HostKey => "host key",
            Self::System => "system",
            Self::Credentials => "credentials",
            Self::Destroys => "destroys",
            Self::Protected => "protected",
            Self::Secret => "secret",
        }
    }

    /// Whether it may take along what is protected without naming it: whole directories, what fits a glob, or what
    /// is in an archive.
    pub(super) fn sweeps(self) -> bool {
        matches!(self, Self::Unnamed | Self::Discards | Self::Hidden | Self::Recursive | Self::Destroys)
    }
}
