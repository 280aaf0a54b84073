//! Python pickle.
