//! Kinds, names, labels and annotations of the APIs that Pilothouse serves and reads.
