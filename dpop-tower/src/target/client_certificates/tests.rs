use http::HeaderValue;

use super::*;
use crate::crypto::pure_rust::PureRust;

/// RFC 8705 appendix A, figure 6.
const RFC_8705_APPENDIX_A: &str = "\
-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
";

/// RFC 8705 appendix A, figure 5.
const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

/// The same hash in hexadecimal digits.
const HEX: &str = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";

fn base64() -> String {
    let lines = RFC_8705_APPENDIX_A.lines();
    lines.filter(|line| !line.starts_with('-')).collect()
}

/// The same certificate as nginx escapes it, with all but unreserved characters escaped.
fn escaped() -> String {
    (RFC_8705_APPENDIX_A.bytes())
        .map(|byte| match byte {
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

/// Reads the values of the header of a trusted proxy.
fn read(
    header: &CertificateHeader,
    values: &[&str],
) -> Result<Option<String>, MalformedCertificate> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(&header.name, HeaderValue::from_str(value).unwrap());
    }
    let certificates = ClientCertificates::forwarded(["10.0.0.1"], header.clone()).unwrap();
    let peer = Some("::ffff:10.0.0.1".parse().unwrap());
    let header = certificates.header_of(peer).unwrap();
    let found = header.find(&headers)?.thumbprint(&PureRust)?;
    Ok(found.map(|thumbprint| thumbprint.to_string()))
}

const X_CERT: HeaderName = HeaderName::from_static("x-cert");

#[test]
fn rfc_8705_appendix_a_every_syntax_gives_the_thumbprint_of_the_certificate() {
    let (base64, escaped) = (base64(), escaped());
    // AWS does not escape `+`, `=` and `/`.
    let half_escaped = RFC_8705_APPENDIX_A.replace(' ', "%20").replace('\n', "%0A");
    let quoted = format!(r#"Cert="{escaped}""#);
    for (header, text) in [
        (CertificateHeader::client_cert(), format!(":{base64}:")),
        (CertificateHeader::escaped_pem(X_CERT), escaped),
        (CertificateHeader::escaped_pem(X_CERT), half_escaped),
        (CertificateHeader::base64_der(X_CERT), base64),
        (CertificateHeader::sha256_hex(X_CERT), HEX.to_owned()),
        (
            CertificateHeader::sha256_hex(X_CERT),
            HEX.to_ascii_uppercase(),
        ),
        (
            CertificateHeader::x_forwarded_client_cert(),
            format!("Hash={HEX}"),
        ),
        (CertificateHeader::x_forwarded_client_cert(), quoted),
    ] {
        assert_eq!(read(&header, &[&text]), Ok(Some(X5T.to_owned())), "{text}");
    }
}

#[test]
fn a_client_without_a_certificate_has_no_header_or_an_empty_one() {
    for header in [
        CertificateHeader::client_cert(),
        CertificateHeader::x_forwarded_client_cert(),
        CertificateHeader::escaped_pem(X_CERT),
        CertificateHeader::base64_der(X_CERT),
        CertificateHeader::sha256_hex(X_CERT),
    ] {
        assert_eq!(read(&header, &[]), Ok(None));
        assert_eq!(read(&header, &[""]), Ok(None));
    }
}

#[test]
fn what_is_not_exactly_one_certificate_is_malformed() {
    let (base64, escaped) = (base64(), escaped());
    let long = "A".repeat(16 * 1024 + 1);
    let twice = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        base64.as_bytes(),
    );
    let client_cert = CertificateHeader::client_cert();
    let pem = CertificateHeader::escaped_pem(X_CERT);
    let der = CertificateHeader::base64_der(X_CERT);
    let hex = CertificateHeader::sha256_hex(X_CERT);
    let malformed = [
        (&client_cert, base64.clone()),
        (&client_cert, ":".to_owned()),
        (&client_cert, "::".to_owned()),
        (&client_cert, format!(":{base64}:;a=1")),
        (&client_cert, format!(":{base64}:, :{base64}:")),
        (&client_cert, format!(":{}:", base64.trim_end_matches('='))),
        (&client_cert, format!(":{base64}")),
        (&client_cert, format!(":{long}:")),
        (&pem, base64.clone()),
        (&pem, RFC_8705_APPENDIX_A.replace('\n', " ") + "x"),
        (&pem, format!("{escaped}{escaped}")),
        (&pem, format!("x{escaped}")),
        (&pem, escaped.replace("CERTIFICATE", "PUBLIC%20KEY")),
        (&pem, escaped.replace("%2B", "%2")),
        (&pem, format!("{escaped}%")),
        (&pem, format!("{escaped}%zz")),
        (&der, twice),
        (&der, format!("{base64} ")),
        (&der, format!("{base64}, {base64}")),
        (&der, base64[..base64.len() - 4].to_owned()),
        (&der, format!("AAAA{base64}")),
        (&der, long),
        (&hex, HEX[..62].to_owned()),
        (&hex, HEX[..63].to_owned()),
        (&hex, format!("{HEX}00")),
        (&hex, HEX.replace('f', "g")),
        (&hex, X5T.to_owned()),
    ];
    for (header, text) in malformed {
        assert_eq!(read(header, &[&text]), Err(MalformedCertificate), "{text}");
    }
    // Two headers are rejected even if they are the same.
    let good = format!(":{base64}:");
    assert_eq!(
        read(&client_cert, &[&good, &good]),
        Err(MalformedCertificate)
    );
    assert_eq!(read(&client_cert, &["", &good]), Err(MalformedCertificate));
}

#[test]
fn the_last_element_of_xfcc_counts_whatever_stands_before_it() {
    let header = CertificateHeader::x_forwarded_client_cert();
    let escaped = escaped();
    let other = "00".repeat(32);
    let last = [
        format!("By=spiffe://a;Hash={HEX};Subject=\"CN=a,O=b;c\\\"d\\\\\";URI=spiffe://b"),
        format!("hash={HEX}"),
        format!("By=;Hash={HEX};URI=,"),
        format!(r#"Hash={HEX};Cert="{escaped}""#),
        format!(r#"Cert="{escaped}";Chain="{escaped}{escaped}";DNS=a;DNS=b"#),
    ];
    for last in last.iter().map(|last| last.trim_end_matches(',')) {
        let good = Ok(Some(X5T.to_owned()));
        assert_eq!(read(&header, &[last]), good, "{last}");
        for before in [
            format!("Hash={other}"),
            format!("Hash={other};Subject=\"CN=a,b\""),
            "By=a".to_owned(),
        ] {
            let both = format!("{before},{last}");
            assert_eq!(read(&header, &[&both]), good, "{both}");
            let both = format!("{before}, {last}");
            assert_eq!(read(&header, &[&both]), good, "{both}");
        }
    }
    // An element that names no certificate does not inherit one.
    for without in ["By=a", "Subject=\"Hash=a\"", "URI=spiffe://b"] {
        for text in [without.to_owned(), format!("Hash={HEX},{without}")] {
            assert_eq!(read(&header, &[&text]), Err(MalformedCertificate), "{text}");
        }
    }
    for wrong in [
        format!("Hash={HEX};Hash={HEX}"),
        format!(r#"Hash={other};Cert="{escaped}""#),
        format!(r#"Cert="{escaped}";Cert="{escaped}""#),
        format!("Hash={HEX};"),
        format!("Hash={HEX},"),
        format!("Hash=\"{HEX}"),
        format!("Hash={HEX}\""),
        format!("Hash=\"{HEX}\"a"),
        format!("\"a\"={HEX};Hash={HEX}"),
        format!("={HEX};Hash={HEX}"),
        HEX.to_owned(),
        ",".to_owned(),
    ] {
        assert_eq!(
            read(&header, &[&wrong]),
            Err(MalformedCertificate),
            "{wrong}"
        );
    }
}

/// The proxy appends its element, with a subject that the client has chosen.
#[test]
fn no_open_quote_of_a_client_moves_the_last_element_of_xfcc() {
    let header = CertificateHeader::x_forwarded_client_cert();
    let wanted = "ff".repeat(32);
    let by_proxy = |subject: &str| {
        format!("By=spiffe://a;Hash={HEX};Subject=\"{subject}\";URI=spiffe://b;DNS=c")
    };
    let forged = format!("CN=x,Hash={wanted}");
    for before in [
        "a=\"",
        "a=\"\\",
        "a=\\",
        "a=\"b",
        "Hash=\"",
        "\"",
        "a=b\"",
        "a=\"b\\\"",
        "a=\"\"",
    ] {
        for subject in ["", "CN=x", &forged, "\\\"", ",Hash=\\\""] {
            let text = format!("{before},{}", by_proxy(subject));
            let read = read(&header, &[&text]);
            assert!(
                matches!(&read, Err(MalformedCertificate)) || read == Ok(Some(X5T.to_owned())),
                "{text}: {read:?}"
            );
        }
    }
}

#[test]
fn headers_of_a_peer_that_is_not_listed_do_not_count() {
    let header = CertificateHeader::sha256_hex(X_CERT);
    let certificates = ClientCertificates::forwarded(["10.0.0.0/8"], header.clone()).unwrap();
    let peer = |text: &str| Some(text.parse().unwrap());
    for (peer, expected) in [
        (peer("192.0.2.1"), None),
        (peer("::ffff:192.0.2.1"), None),
        (peer("::10.1.2.3"), None),
        (None, None),
        (peer("10.1.2.3"), Some(&header)),
        (peer("::ffff:10.1.2.3"), Some(&header)),
    ] {
        assert_eq!(certificates.header_of(peer), expected, "{peer:?}");
    }
}

/// A request whose token is bound to no certificate does not pay for decoding one.
#[test]
fn a_header_is_counted_and_measured_before_it_is_decoded() {
    let header = CertificateHeader::base64_der(X_CERT);
    let longest = "A".repeat(16 * 1024);
    for (values, is_found) in [
        (&["junk"][..], true),
        (&[&*longest], true),
        (&[&*format!("{longest}A")], false),
        (&["junk", "junk"], false),
        (&["", ""], false),
    ] {
        let found = header.find(&headers("x-cert", values));
        assert_eq!(found.is_ok(), is_found, "{} values", values.len());
        let Ok(found) = found else { continue };
        assert_eq!(found.thumbprint(&PureRust), Err(MalformedCertificate));
    }
}

#[test]
fn at_least_one_network_is_listed_and_each_is_one() {
    for networks in [&[][..], &["10.0.0.0/33"], &["proxy.example.com"]] {
        let header = CertificateHeader::client_cert();
        let networks = networks.iter().copied();
        assert!(ClientCertificates::forwarded(networks, header).is_err());
    }
}
