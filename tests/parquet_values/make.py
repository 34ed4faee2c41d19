"""Makes the Parquet files of this folder, as other programs write them.

    uv run --with pyarrow --with pandas --with polars make.py

The trainer and the loader read each file, and values.json says what they find.
"""

import datetime as dt
import decimal
from pathlib import Path

import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
DAY = dt.date(2026, 2, 3)
TIME = dt.datetime(2026, 2, 3, 23, 30, 0, 500_000)
EARLY = dt.datetime(1969, 12, 31, 23, 59, 59, 1)


def moment(zone: str) -> pa.DataType:
    return pa.timestamp("us", tz=zone)


def decimals(kind: pa.DataType, *numbers: str) -> pa.Array:
    return pa.array([*map(decimal.Decimal, numbers), None], kind)


def table() -> pa.Table:
    """Every type that a table of customers may have, with a missing value in each."""
    columns = {
        "int8": pa.array([-7, 127, None], pa.int8()),
        "uint8": pa.array([0, 255, None], pa.uint8()),
        "int32": pa.array([-(2**31), 2**31 - 1, None], pa.int32()),
        "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
        "int64": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
        "uint64": pa.array([0, 2**64 - 1, None], pa.uint64()),
        "half": pa.array([0.5, -2.25, None], pa.float16()),
        "float": pa.array([0.1, float("nan"), None], pa.float32()),
        "double": pa.array([1e16, -0.1, None], pa.float64()),
        "special": pa.array([float("nan"), 1.0, 1.5e-7], pa.float64()),
        "decimal9": decimals(pa.decimal128(9, 2), "12.50", "-0.05"),
        "decimal18": decimals(pa.decimal128(18, 2), "1860.00", "0.01"),
        "decimal38": decimals(pa.decimal128(38, 6), f"{'9' * 32}.123456", "-7"),
        "decimal40": decimals(pa.decimal256(40, 2), "1.50", "2"),
        "flag": pa.array([True, False, None], pa.bool_()),
        "text": pa.array(['tenant, "ü"', "", None], pa.string()),
        "large text": pa.array(["line\nbreak", " blanks ", None], pa.large_string()),
        "home": pa.array(["owner", "tenant", None]).dictionary_encode(),
        "Home": pa.array(["upper", "case", None]),
        "nothing": pa.nulls(3),
        "day": pa.array([DAY, dt.date(1969, 12, 31), None], pa.date32()),
        "moment": pa.array([TIME, EARLY, None], pa.timestamp("us")),
        "nanos": pa.array([1_770_161_400_123_456_789, 0, None], pa.timestamp("ns")),
        "utc": pa.array([TIME, dt.datetime(2026, 2, 3), None], moment("UTC")),
        "clock": pa.array([dt.time(8, 5), dt.time(23, 59, 59, 250_000), None], pa.time64("us")),
        "list": pa.array([[1, 2], [], None], pa.list_(pa.int64())),
        "struct": pa.array([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, None]),
        "bytes": pa.array([b"\xff", b"", None], pa.binary()),
    }
    return pa.table(columns)


def main() -> None:
    whole = table()
    pq.write_table(whole, HERE / "snappy.parquet", compression="snappy")
    # Pages of the second version, whose levels are not compressed.
    pq.write_table(whole, HERE / "gzip_v2.parquet", compression="gzip", data_page_version="2.0")
    pq.write_table(whole, HERE / "zstd_v2.parquet", compression="zstd", data_page_version="2.0")
    bare = {"compression": "none", "use_dictionary": False, "store_schema": False}
    pq.write_table(whole, HERE / "plain.parquet", **bare)
    few = whole.select(["int32", "text"])
    pq.write_table(few, HERE / "brotli.parquet", compression="brotli")
    moments = whole.select(["moment"])
    pq.write_table(moments, HERE / "int96.parquet", use_deprecated_int96_timestamps=True)
    zones = {
        "offset": pa.array([TIME, None], moment("+01:00")),
        "named": pa.array([TIME, None], moment("Europe/Berlin")),
    }
    pq.write_table(pa.table(zones), HERE / "zones.parquet")
    rows = polars.DataFrame(
        {"number": range(2500), "text": [f"t{n % 7}" if n % 5 else None for n in range(2500)]}
    )
    rows.write_parquet(HERE / "polars.parquet", compression="zstd", row_group_size=1100)
    write_customers()


def write_customers() -> None:
    """One table as Parquet and as CSV: both give the same customers and the same training table."""
    customers = pandas.DataFrame(
        {
            "id": [1001, 1002, 1003, 1004, 1005, 1006],
            "score": pandas.array([650, 700, 610, 599, 720, 655], dtype="int32"),
            "limit": [decimal.Decimal(n * 100_001).scaleb(-2) for n in range(1, 7)],
            "date": [DAY - dt.timedelta(days=days) for days in range(6)],
            "income": [12_000.5, float("nan"), 0.1, 1e16, -3.0, 45_000.0],
            "home": pandas.Categorical(["tenant", "owner", None, 'a "b", c', "owner", "Ärger"]),
            "list": [[1], [2, 3], [], [4], [5], [6]],
            "outcome": ["bad", "good", "good", "bad", "good", "good"],
        }
    )
    customers.to_parquet(HERE / "customers.parquet", index=False)
    customers.to_csv(HERE / "customers.csv", index=False)


if __name__ == "__main__":
    main()
