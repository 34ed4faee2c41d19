//! A Bloom filter of the customers of a shard, so that a customer's shard is found among thousands
//! without an index on each decision.
//!
//! The filter is a BYTEA in the ledger. PostgreSQL's `get_bit` reads it, so the bits are numbered
//! as `get_bit` numbers them: from the lowest bit of the first byte.

use sha2::{Digest, Sha256};

/// The bits that are probed for each customer.
pub(crate) const PROBES: i32 = 7;

/// With 10 bits for each customer and 7 probes, one shard in 120 is searched in vain.
/// (1 - e^(-7/10))^7 = 0.008: B. H. Bloom, "Space/time trade-offs in hash coding", 1970.
const BITS_PER_CUSTOMER: usize = 10;

/// The two numbers from which all probes of a customer follow: probe `i` is `first + i * second`,
/// modulo the filter's bits. A. Kirsch and M. Mitzenmacher, "Less hashing, same performance", 2006,
/// show that two numbers are as good as one for each probe.
///
/// They have 31 bits, so that PostgreSQL computes the probes in a BIGINT.
pub(crate) fn probe_numbers(customer_id: &str) -> (i64, i64) {
    let digest = Sha256::digest(customer_id.as_bytes());
    let number = |at: usize| {
        let bytes = [digest[at], digest[at + 1], digest[at + 2], digest[at + 3]];
        i64::from(u32::from_be_bytes(bytes) >> 1)
    };

    // An odd number and a power of two have no common divisor, so no probe comes twice.
    (number(0), number(4) | 1)
}

/// The filter of these customers. Its bits are a power of two.
pub(crate) fn customer_filter<'a>(customers: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let bits = (customers.len() * BITS_PER_CUSTOMER).next_power_of_two().max(8);
    let mut filter = vec![0_u8; bits / 8];
    for customer_id in customers {
        let (first, second) = probe_numbers(customer_id);
        for probe in 0..i64::from(PROBES) {
            let bit = (first + probe * second) as usize & (bits - 1);
            filter[bit / 8] |= 1 << (bit % 8);
        }
    }

    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(filter: &[u8], customer_id: &str) -> bool {
        let (first, second) = probe_numbers(customer_id);
        (0..i64::from(PROBES)).all(|probe| {
            let bit = (first + probe * second) as usize % (filter.len() * 8);
            filter[bit / 8] >> (bit % 8) & 1 == 1
        })
    }

    #[test]
    fn every_customer_is_found_and_few_others_are() {
        for size in [1_usize, 20, 10_000] {
            let customers: Vec<String> = (0..size).map(|n| format!("CUST-{n:06}")).collect();
            let filter = customer_filter(customers.iter().map(String::as_str));

            assert!(filter.len() <= size * 3 + 1, "{size}: {} bytes", filter.len());
            assert!(customers.iter().all(|customer| has(&filter, customer)), "{size}");

            let others = (0..10_000).filter(|n| has(&filter, &format!("OTHER-{n}"))).count();
            assert!(others < 200, "{size}: {others} of 10,000 others");
        }
    }

    #[test]
    fn a_shard_without_decisions_has_an_empty_filter() {
        assert_eq!(customer_filter(std::iter::empty()), [0]);
    }

    #[test]
    fn the_numbers_of_a_customer_never_change() {
        // The filters that are stored were made with them. Python's hashlib has the same.
        assert_eq!(probe_numbers("CUST-000001"), (1_653_280_967, 2_076_098_721));
    }
}
