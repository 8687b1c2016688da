//! Integration tests: the layer as users have it, over real sockets where that matters.
