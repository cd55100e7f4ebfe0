//! One result, one small file a format. Nothing here computes: an [`Audit`](crate::verdict::Audit),
//! a study or a comparison goes in, text comes out.

mod cases;
pub mod checklist;
mod content;
pub mod csv;
pub mod format;
pub mod html;
pub mod json;
pub mod junit;
pub mod latex;
pub mod long;
pub mod markdown;
pub mod panel;
pub mod regression;
pub mod rules;
pub mod study_json;
mod svg;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;
pub mod together;
pub mod watch;
mod xml;
