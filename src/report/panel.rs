//! A table that every format can write: what the sections of a study report are made of.

/// A titled table. Without rows it is its note alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    pub title: String,
    /// What a reader must know to read it; may be empty.
    pub note: String,
    /// A line break sets off a second, quieter line, here and in cells.
    pub columns: Vec<String>,
    /// The columns that hold words; the others hold numbers. Where it is empty, a format judges by the
    /// cells.
    pub words: Vec<usize>,
    pub rows: Vec<Vec<Cell>>,
    /// What the table shows, a sentence each.
    pub said: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub shade: Shade,
}

/// What a cell says at a glance, where the format has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shade {
    #[default]
    None,
    Good,
    Bad,
    /// Of no weight: missing, or not to be read.
    Muted,
}

impl Cell {
    pub fn shaded(text: impl Into<String>, shade: Shade) -> Self {
        Self { text: text.into(), shade }
    }

    /// Where there is no value.
    pub fn absent() -> Self {
        Self::shaded("–", Shade::Muted)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::shaded(text, Shade::None)
    }
}
