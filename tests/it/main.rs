//! Integration tests: the layer as users use it, over real sockets where that matters.

mod api;
mod certificates;
mod client;
mod frameworks;
mod introspection;
mod issuers;
mod keys;
mod lifetime;
mod metadata;
mod observability;
mod policy;
mod postgres;
mod profiles;
mod redis;
mod rejection;
mod repo;
mod revocation;
mod robustness;
mod ssf;
mod store_contract;
mod token_endpoint;

use dpop_conformance::{stores, support};

/// Makes four tests of each case: its name, followed by `aws_lc_rs_in_process` and so on. The gateway's
/// tests also run the cases of the crate `dpop-conformance` through a proxy.
macro_rules! each_way {
    (
        $run:path;
        each_way [$($each:ident,)*]
        each_way_of_the_layer [$($of_the_layer:ident,)*]
        once [$($once:ident,)*]
    ) => {
        use $run as run;

        $(crate::four_ways! { $each: run::$each })*
        $(crate::four_ways! { $of_the_layer: run::$of_the_layer })*
        $(#[tokio::test]
        async fn $once() {
            run::$once().await;
        })*
    };
}

/// Does the same for functions of this module that take a [`Way`](support::Way).
macro_rules! each_way_of_the_layer {
    ($($test:ident),+ $(,)?) => {
        $(crate::four_ways! { $test: $test })+
    };
}

macro_rules! four_ways {
    ($name:ident: $($function:ident)::+) => {
        mod $name {
            use dpop_conformance::support::{
                Backend::{AwsLcRs, Josekit},
                Over::{Process, Socket},
                Way,
            };

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn aws_lc_rs_in_process() {
                super::$($function)::+(Way::new(AwsLcRs, Process)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn aws_lc_rs_over_a_socket() {
                super::$($function)::+(Way::new(AwsLcRs, Socket)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn josekit_in_process() {
                super::$($function)::+(Way::new(Josekit, Process)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn josekit_over_a_socket() {
                super::$($function)::+(Way::new(Josekit, Socket)).await;
            }
        }
    };
}

pub(crate) use {each_way, each_way_of_the_layer, four_ways};

dpop_conformance::every_case! { crate::each_way }
