//! Sizes: `512Mi`, `2Gi`, `1.5G`.

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read the size `{0}`: write a number of bytes, alone or with k, M, G, T, Ki, Mi, Gi or Ti, for example `1536Mi`"
)]
pub struct InvalidSize(String);

const UNITS: &[(&str, u64)] = &[
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

/// The bytes that `text` states, as Kubernetes writes them: `512Mi`, `1.5Gi`, `2G`, `1000000`. Less than one byte is none.
///
/// # Errors
/// The text is no such size, or larger than 2⁶⁴ bytes.
pub fn size(text: &str) -> Result<u64, InvalidSize> {
    let invalid = || InvalidSize(text.to_owned());
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).ok_or_else(invalid)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(invalid());
    }
    let parse = |text: &str| text.parse::<u128>().map_err(|_| invalid());
    let ten = u32::try_from(part.len()).map_err(|_| invalid())?;
    let part = parse(part)? * u128::from(unit) / 10_u128.pow(ten);
    u64::try_from(parse(whole)? * u128::from(unit) + part).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_kubernetes() {
        let table = [
            ("0", 0),
            ("1000000", 1_000_000),
            ("64Ki", 65_536),
            ("1536Mi", 1_610_612_736),
            ("2Gi", 2_147_483_648),
            ("1.5Gi", 1_610_612_736),
            ("0.1k", 100),
            ("2G", 2_000_000_000),
            ("3T", 3_000_000_000_000),
        ];
        for (text, bytes) in table {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_to_write() {
        for text in ["", "Mi", "-1Gi", "1 Gi", "1gb", "1e3", "1.", ".5Gi", "99999999999T", "1,5Gi", "٣Gi"] {
            assert!(size(text).is_err(), "{text}");
        }
        let error = size("2GB").map_err(|error| error.to_string());
        insta::assert_snapshot!(error.unwrap_err(), @"cannot read the size `2GB`: write a number of bytes, alone or with k, M, G, T, Ki, Mi, Gi or Ti, for example `1536Mi`");
    }
}
