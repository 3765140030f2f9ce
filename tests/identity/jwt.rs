//! Signed statements, made and verified.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use serde_json::Value;

/// An RSA key as PKCS#8. Made for these tests and used nowhere else.
pub const KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCgQAxTPsuizjlP7aqfPKrB3nnAI35EHcLiO7zLfE71Rc+eiYYZEUFrubL/MZ6xCwNb2MLMP57kOLiWmZm8CiErIj87cIccliKfOK5bu2SYdT5aCqGHyXUrlUr/+Cm7IAncjfaM7WakpVojJvgp67nCb4w24/L7oejSnnaFT+WJ6qMUHqxfDmP/dyCUDpL+mU+HPX92SS9mdaUY8wrsfplnUmR8TQLbIwxBRMNZ7X8YA62EKQ069uy+yxn7dNpTlp8sHNXvKKP7rtW022T3aAALpTF1H2L1Cr9t5rw6llIbc17JOMeabV/DhP23x5MkHtCJIXwIIEY6Mcs+uBsFhDZfAgMBAAECggEAAXNBesDVo04W1IH7MyCfmvr/WfqD4xqmNZO80gTJ+WksUxqax1dL6KGqUQcWqDLIOboEF9Rf7Y6gCKiBvjRx/X02lI2sJYfmS/KU0tHhJKGFLR2cPbVBBXlnrLcp2vjChtByFJI7nKhg+BWPpzF3p3BC/awtVx65E5SyFeN+fErWiC6oQcAU7NhAlcJWhm1dTQdeQ8Td7ZTNDq8RWdpt8YDacyesZh9UYQdkxNdvhVY28j60K1GdOvt6T2/8V/RwBLt22EcFs2idNHonWfkF9ZMZU8+jw5kcQ9Dum9ThpmdOp6uGo6BWd1AOmEFusKan8BZbwILnXTIVUkntztlK4QKBgQDe404bmS9MR2aOL4N3VvqSFOk1AzchjsWq8y79ZBDqsYtfttUWEjXE1lcnRHBUFGDrixJDs1R7sEtcl4Cm8zzNyADNYKIRu3df/Jn0lPjL60Lft1jOlX8S9l4kK3Xxut3UPmGejGtnUmmEemlQXFzcme3m+tMeckgwSJa3VMHk3QKBgQC4Do4jquKlhh1L1bRsKIfw/qz2sSFU1HgPPtNDSUTN0SMETAHtbB/WuTEcX/TFcTqSX3+xRRlWHbt0PrSR5CxPtXsE5rco0upxKvSaZRkQANl0RZk+sFDfjK1f2iMwqA7iaPAP1hnd6OBrIqxpHuqqPDgL4wglspG4d1E4WRfmawKBgBjNmLqPgGjvpST7epjEMBwjgZQpqG/ukGamqzr9cLh9S3I6SVosapld9NLk1c81eVec4UpxYVxmUOyb23A4rzKDKDuynjZ08yLWXFeQYGNo6cc1gwdyMXLtwaoqv/RHhDoDOx/GpokX7bAVYzTTIm5WHthOX0ILG6dr3IHIR89tAoGACzpoFWjxVqOt2dh5nzeBw4PlzU7U97XWdSeh/7LSjbO6bSKt42v7LUAy7MY1ym2z4wYMZiYO+5/otZi1r0i6I0qw7IWemtDzGGBEd76/HqjOmzc7uAVNibWtRfGqv+cgsVMxgeXPwifYuPBukCMgsa3mxWLeNl6EYTp2K/fTa20CgYEArEmdlmXn9/kg8vs5Y2PKjbr5hl2r5/N6tbJ6fprV6k+uuNLfuXaYthOa7OsKzosw+BODZRy3xBGf6y5cAmrZMnMW6KzCq7+inbfsCyq2fzSosgY3hHGi3AVAqHWPEVCVdyU/V2WOhzo0DdR2JeXGI8npRGma6Xq0BrKJXDqTu2M=";

/// The key as files of Google hold it.
pub fn pem() -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n")
}

/// A token that says `claims`.
pub fn signed(claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&serde_json::json!({ "alg": "RS256" })), encode(claims));
    let pair = pair();
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).expect("the signature fits");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a token says, if it is signed with the key above, for `audience`, and holds at `now`.
pub fn verified(token: &str, audience: &str, now: i64) -> Result<Value, String> {
    let (text, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let (header, claims) = text.split_once('.').ok_or("no claims")?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "no base64");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair().public().as_ref().to_vec());
    public.verify(text.as_bytes(), &decode(signature)?).map_err(|_| "a wrong signature")?;
    let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| "no header")?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| "no claims")?;
    let in_time = claims["exp"].as_i64().is_some_and(|end| now < end && end <= now + 3600 * 24);
    match () {
        () if header["alg"] != "RS256" => Err("another algorithm".to_owned()),
        () if claims["aud"] != audience => Err(format!("for {} and not {audience}", claims["aud"])),
        () if !in_time => Err(format!("ends {} at {now}", claims["exp"])),
        () => Ok(claims),
    }
}

fn pair() -> &'static KeyPair {
    static PAIR: LazyLock<KeyPair> = LazyLock::new(|| {
        KeyPair::from_pkcs8(&STANDARD.decode(KEY).expect("the text above is base64")).expect("the key above is whole")
    });
    &PAIR
}
