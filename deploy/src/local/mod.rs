//! The local environment: services on this machine, and what is remembered about them.

pub mod docker;
pub mod http;
pub mod localstack;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod python;
pub mod services;
pub mod state;
