//! What RFC 9449 and related specifications require of a resource server: the cases of the library's own
//! tests, through the gateway.

use axum::Router;
use dpop_cli::gateway::{
    Gateway,
    guard::Guard,
    identity::Identity,
    proxy::{Forwarding, Proxy, Timeouts, Upstream},
};
use dpop_conformance::support::{self, ORIGIN, Over};
use dpop_tower::{DpopConfig, PolicyTable, PublicOrigin};

#[derive(Debug)]
struct TheGateway;

impl support::Proxy for TheGateway {
    fn protect(&self, config: DpopConfig, table: Option<&PolicyTable>, upstream: &str) -> Router {
        let guard = Guard::new(config, table, Identity::default());
        let proxy = Proxy::new(
            Upstream::new(upstream).unwrap(),
            guard.identity().clone(),
            Forwarding::new(PublicOrigin::new(ORIGIN).unwrap()),
            Timeouts::default(),
        );
        let gateway = Gateway::from_parts(guard, &proxy.unwrap()).unwrap();
        Router::new().fallback_service(gateway)
    }
}

const THROUGH_THE_GATEWAY: Over = Over::Proxy(&TheGateway);

/// Makes two tests of each case: its name, followed by `aws_lc_rs_through_the_gateway` and by
/// `josekit_through_the_gateway`. Cases of the layer itself do not apply.
macro_rules! through_the_gateway {
    (
        $run:path;
        each_way [$($each:ident,)*]
        each_way_of_the_layer [$($of_the_layer:ident,)*]
        once [$($once:ident,)*]
    ) => {
        use $run as run;

        $(mod $each {
            use dpop_conformance::support::{Backend, Way};

            use crate::conformance::THROUGH_THE_GATEWAY;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn aws_lc_rs_through_the_gateway() {
                super::run::$each(Way::new(Backend::AwsLcRs, THROUGH_THE_GATEWAY)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn josekit_through_the_gateway() {
                super::run::$each(Way::new(Backend::Josekit, THROUGH_THE_GATEWAY)).await;
            }
        })*
    };
}

use through_the_gateway;

dpop_conformance::every_case! { crate::conformance::through_the_gateway }
