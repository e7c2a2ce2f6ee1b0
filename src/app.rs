//! Composition root: clients, stores, controllers, web; one spawn function each; graceful stop.
