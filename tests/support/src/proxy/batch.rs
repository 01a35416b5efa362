//! Finds a record batch in a fetch response, whatever the version of the response.
//!
//! A batch (magic 2) is: base offset i64, length i32 of what follows, leader epoch i32, magic i8,
//! CRC-32C u32 of what follows it, and then attributes, timestamps, counts and records. A place
//! where the checksum is right is a batch.

/// From the base offset to what the checksum covers.
const UNTIL_CHECKED: usize = 21;

/// From the base offset to the records.
const UNTIL_RECORDS: usize = 61;

/// Returns a place amid the records of the first whole batch.
pub(super) fn amid_records(response: &[u8]) -> Option<usize> {
    (0..response.len()).find_map(|start| {
        let length = batch_length(&response[start..])?;
        Some(start + usize::midpoint(UNTIL_RECORDS, length))
    })
}

/// Returns the length of the batch at the start of `bytes`, if one is there.
fn batch_length(bytes: &[u8]) -> Option<usize> {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        l0,
        l1,
        l2,
        l3,
        _,
        _,
        _,
        _,
        2,
        c0,
        c1,
        c2,
        c3,
        ..,
    ] = *bytes
    else {
        return None;
    };
    let after_length = usize::try_from(i32::from_be_bytes([l0, l1, l2, l3])).ok()?;
    let length = after_length.checked_add(12)?;
    let checked = bytes.get(UNTIL_CHECKED..length)?;
    let is_batch =
        length > UNTIL_RECORDS && crc32c(checked) == u32::from_be_bytes([c0, c1, c2, c3]);
    is_batch.then_some(length)
}

/// CRC-32C, bit by bit: this is for one response of a test.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// Returns a batch around `records`, as a broker would store it.
#[cfg(test)]
pub(super) fn batch_of(records: &[u8]) -> Vec<u8> {
    let checked = [&[0; UNTIL_RECORDS - UNTIL_CHECKED], records].concat();
    let after_length = i32::try_from(checked.len() + 9).unwrap_or_default();
    let mut batch = vec![0; 8];
    batch.extend(after_length.to_be_bytes());
    batch.extend([0, 0, 0, 0, 2]);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

#[cfg(test)]
mod tests {
    use super::{amid_records, batch_of, crc32c};

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // the check value of its definition
    }

    #[test]
    fn the_place_is_within_the_records_of_the_first_batch() {
        let first = [&[9; 30][..], &batch_of(b"records")].concat();
        let response = [&first[..], &batch_of(b"more"), &[0, 0]].concat();

        let place = amid_records(&response);

        let records = first.len() - b"records".len()..first.len();
        assert!(
            place.is_some_and(|place| records.contains(&place)),
            "{place:?}"
        );
    }

    #[test]
    fn neither_a_spoilt_nor_a_cut_off_batch_counts() {
        let mut spoilt = batch_of(b"records");
        *spoilt.last_mut().expect("not empty") ^= 1;
        let cut_off = &batch_of(b"records")[..60];

        assert_eq!(amid_records(&spoilt), None);
        assert_eq!(amid_records(cut_off), None);
        assert_eq!(amid_records(&[]), None);
    }
}
