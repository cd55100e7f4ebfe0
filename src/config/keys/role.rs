//! What a key is for. Whoever asks which keys name a run, are said in its label, are a twin's own or
//! forbid a comparison asks here, and keeps no list:
//!
//! | role | names the run | a frozen twin has | `--frozen` | `regress` |
//! |---|---|---|---|---|
//! | [`Role::Shape`] | yes | the run's | must agree | refuses |
//! | [`Role::Data`] | yes | the run's | the data's digest | refuses |
//! | [`Role::Training`] | yes | the run's | | a breach |
//! | [`Role::Rule`] | yes | the published | | a breach |
//! | [`Role::Arithmetic`] | yes | the run's, where a study trains it | | |
//! | [`Role::Protocol`] | | the run's | | refuses |
//! | [`Role::Threshold`] | | the run's | | a breach |
//! | [`Role::Place`] | | the run's, where a study trains it | | |
//! | [`Role::Folder`] | | the run's | | |
//! | [`Role::Kept`] | | none | | |
//!
//! The matches below have no default arm, so that a new role must answer every question.

use super::Config;

/// What a key decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// How the network is built: layers, widths, what is added where.
    Shape,
    /// What it is trained and tested on.
    Data,
    /// How it is trained, whatever the rule.
    Training,
    /// The method and what belongs to it; a frozen twin has the published value.
    Rule,
    /// How numbers round: the program that multiplies, and its precision.
    Arithmetic,
    /// How the trained network is measured.
    Protocol,
    /// What a measurement is judged by.
    Threshold,
    /// Where a run goes on; the numbers do not depend on it.
    Place,
    /// Where files lie on this machine, which tells another nothing.
    Folder,
    /// What a run keeps beside its newest state.
    Kept,
}

/// How a label says that a key's value is not the published one, so that runs that differ are never
/// pooled as seeds of one setting.
#[derive(Clone, Copy)]
pub enum Label {
    /// In words of its own, of a configuration and the published one; the words stand in the table's
    /// order.
    Words(fn(&Config, &Config) -> Option<String>),
    /// As ` key=value`, behind all words.
    Key,
    /// By the words of another key, or in a column that stands beside every label.
    Elsewhere,
    /// Not at all: runs that differ in it alone trained the same network.
    Unsaid,
}

impl Role {
    /// Whether the key shapes the numbers of a training run on exact arithmetic.
    pub fn is_science(self) -> bool {
        match self {
            Self::Shape | Self::Data | Self::Training | Self::Rule => true,
            Self::Arithmetic
            | Self::Protocol
            | Self::Threshold
            | Self::Place
            | Self::Folder
            | Self::Kept => false,
        }
    }

    /// Whether the key is part of a run's identity.
    pub fn names_the_run(self) -> bool {
        self.is_science() || self == Self::Arithmetic
    }

    /// Whether a frozen twin has the value of the run that it is a twin of.
    pub fn is_shared_by_a_twin(self) -> bool {
        match self {
            Self::Rule | Self::Kept => false,
            Self::Shape
            | Self::Data
            | Self::Training
            | Self::Arithmetic
            | Self::Protocol
            | Self::Threshold
            | Self::Place
            | Self::Folder => true,
        }
    }

    /// How a difference stands in a comparison with a baseline.
    pub fn comparison(self) -> Comparison {
        match self {
            Self::Shape => Comparison::Forbidden("architecture"),
            Self::Data => Comparison::Forbidden("data"),
            Self::Protocol => Comparison::Forbidden("protocol"),
            Self::Training | Self::Rule | Self::Threshold => Comparison::Breach,
            Self::Arithmetic | Self::Place | Self::Folder | Self::Kept => Comparison::Ignored,
        }
    }
}

/// What a difference in a key means to who compares two runs' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The numbers mean something else: in the architecture, the data or the protocol.
    Forbidden(&'static str),
    /// It is a difference beside those in the numbers.
    Breach,
    /// It is not looked at.
    Ignored,
}
