//! Data sets as their users meet them: files on disk in, batches out.

mod drawing;
mod media;
mod sources;
mod tools;
