//! Hub controllers: they gather, call core, execute and report.
