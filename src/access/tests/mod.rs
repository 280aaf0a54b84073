//! What a users file allows, refuses and says, as a whole.

mod broken;
mod naive;
mod table;
mod whole;
