//! No text makes the parser of image references panic, and what it reads has one meaning.
#![no_main]

use fairlead::model::ImageReference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(image) = text.parse::<ImageReference>() else { return };
    assert!(!image.repository.path.is_empty() && !image.repository.registry.is_empty());
    let again: ImageReference = image.name.parse().expect("the name of an image is an image");
    assert_eq!(again.repository, image.repository);
});
