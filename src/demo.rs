//! The demo: an embedded hub, two simulated members with Submariner, a local git repository.
