//! Decides, and does nothing else: requests and events go in with the time, records and effects
//! come out. It knows no clock, no terminal and no store.

pub mod request;
