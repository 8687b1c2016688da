#![doc = include_str!("../README.md")]

#[cfg(doctest)]
#[doc = include_str!("../docs/authorization-server.md")]
mod authorization_server {}

#[cfg(doctest)]
#[doc = include_str!("../docs/client.md")]
mod client {}

#[cfg(doctest)]
#[doc = include_str!("../docs/grpc.md")]
mod grpc {}

#[cfg(doctest)]
#[doc = include_str!("../docs/issuers.md")]
mod issuers {}

#[cfg(doctest)]
#[doc = include_str!("../docs/kong.md")]
mod kong {}

#[cfg(doctest)]
#[doc = include_str!("../docs/mtls.md")]
mod mtls {}

#[cfg(doctest)]
#[doc = include_str!("../docs/profiles.md")]
mod profiles {}

#[cfg(doctest)]
#[doc = include_str!("../docs/revocation.md")]
mod revocation {}

#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
mod testing {}

#[cfg(doctest)]
#[doc = include_str!("../docs/websockets.md")]
mod websockets {}
