//! Macros that turn a function into tests in another crate.

use std::{future::Future, pin::Pin};

/// A running case. It is boxed so that its code is generated in this crate, and not in each crate that
/// runs it.
pub type Case = Pin<Box<dyn Future<Output = ()>>>;

/// Lists the cases of a module, and exports them under its name for [`every_case!`]. A function that is
/// not listed is dead code, which the lints deny.
///
/// | list | the functions take | run |
/// |---|---|---|
/// | `each_way` | a [`Way`](crate::support::Way) | in every way |
/// | `each_way_of_the_layer` | a `Way` | in every way except through a proxy: nested layers, and what handlers get from the layer in front of them |
/// | `once` | nothing | once, by one binary |
macro_rules! cases {
    ($($input:tt)+) => { cases_with! { ($) $($input)+ } };
}

macro_rules! cases_with {
    (
        ($d:tt) $($module:ident)::+ as $name:ident;
        each_way [$($each:ident,)+]
        $(each_way_of_the_layer [$($of_the_layer:ident,)+])?
        $(once [$($once:ident,)+])?
    ) => {
        pub mod run {
            use $crate::{Case, support::Way};

            $(pub fn $each(way: Way) -> Case {
                Box::pin(super::$each(way))
            })+
            $($(pub fn $of_the_layer(way: Way) -> Case {
                Box::pin(super::$of_the_layer(way))
            })+)?
            $($(pub fn $once() -> Case {
                Box::pin(super::$once())
            })+)?
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $name {
            ($d($d tests:tt)+) => {
                $d($d tests)+! {
                    $d crate::$($module)::+::run;
                    each_way [$($each,)+]
                    each_way_of_the_layer [$($($of_the_layer,)+)?]
                    once [$($($once,)+)?]
                }
            };
        }
    };
}

/// Makes a module of tests of every module of cases, with the given macro. The macro gets the module's
/// path and three lists, in the form of `cases!`.
#[macro_export]
macro_rules! every_case {
    ($($tests:tt)+) => {
        mod requirements { $crate::requirements! { $($tests)+ } }
        mod reuse { $crate::reuse! { $($tests)+ } }
        mod token { $crate::token! { $($tests)+ } }
        /// RFC 9449, section by section.
        mod rfc9449 {
            mod downgrade_matrix { $crate::downgrade_matrix! { $($tests)+ } }
            mod known_bugs { $crate::known_bugs! { $($tests)+ } }
            mod nonce_for_iat { $crate::nonce_for_iat! { $($tests)+ } }
            mod section_11_1 { $crate::section_11_1! { $($tests)+ } }
            mod section_4_2 { $crate::section_4_2! { $($tests)+ } }
            mod section_4_3 { $crate::section_4_3! { $($tests)+ } }
            mod section_6 { $crate::section_6! { $($tests)+ } }
            mod section_7_1 { $crate::section_7_1! { $($tests)+ } }
            mod section_7_2 { $crate::section_7_2! { $($tests)+ } }
            mod section_9 { $crate::section_9! { $($tests)+ } }
        }
    };
}
