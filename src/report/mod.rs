//! One result, one small file a format. Nothing here computes: an [`Audit`](crate::verdict::Audit)
//! goes in, text comes out.

pub mod csv;
pub mod json;
pub mod terminal;
