//! Topics that several brokers share: a backbone orders and keeps their messages, and each broker
//! delivers what comes back from it.

mod backbone;
mod definition;

pub use backbone::{
    Arrived, Backbone, BackboneLine, FromBackbone, HowSettled, Incoming, JoinShared, NoBackbone,
    Outgoing, Position, Room, SharedConsumer, SharedContent, SharedMessage, SharedPayload,
    SharedPlan, SharedReport, ToBackbone,
};
pub use definition::SharedTopics;
