//! The sentences that people read, made of codes and parameters. They are in this folder and nowhere else, so another
//! language is this folder once more.

mod alarm;
mod camera;
mod camera_tls;
mod no_picture;
mod room;
mod upload;

pub use no_picture::UNSTORED;
pub use room::size;
