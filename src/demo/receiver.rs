//! stub
/// a
pub struct Receiver;
/// a
pub enum ReceiverFault {}
