"""Reads Delta tables with foreign readers and prints what they saw, one JSON object a line.

Arguments: table folders. Every value becomes one canonical text per Delta type, and a column becomes
its null count and the sum of the hashes of its values, so that the order of rows does not matter;
a hash over whole rows ties the columns together.
"""

import hashlib
import json
import struct
import sys

import deltalake
import polars
import pyarrow as pa

MASK = (1 << 64) - 1


def canonical(kind, value):
    if kind in ("float", "double"):
        return "nan" if value != value else struct.pack(">d", value).hex()
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "binary":
        return value.hex()
    if kind.startswith("decimal"):
        return format(value, "f")
    return str(value)


def plain(kind, column):
    """Dates as days and timestamps as microseconds, before Python objects lose them."""
    if kind == "date":
        return column.cast(pa.date32()).cast(pa.int32())
    if kind == "timestamp":
        return column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return column


def text_hash(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def column_texts(kind, column):
    values = plain(kind, column).to_pylist()
    return [None if value is None else canonical(kind, value) for value in values]


def sum_of_hashes(texts):
    return format(sum(text_hash(text) for text in texts) & MASK, "016x")


def column_summary(texts):
    present = [text for text in texts if text is not None]
    return {"nulls": len(texts) - len(present), "hash": sum_of_hashes(present)}


def row_text(texts):
    return "\x1f".join("\0" if text is None else text for text in texts)


def summary(reader, table, data):
    schema = json.loads(table.schema().to_json())
    fields = [[field["name"], field["type"]] for field in schema["fields"]]
    texts = {name: column_texts(kind, data.column(name)) for name, kind in fields}
    return {
        "reader": reader,
        "version": table.version(),
        "schema": fields,
        "files": len(table.file_uris()),
        "rows": data.num_rows,
        "rowHash": sum_of_hashes(row_text(row) for row in zip(*texts.values())),
        "columns": {name: column_summary(column) for name, column in texts.items()},
    }


def with_query_engine(table):
    query = deltalake.QueryBuilder().register("t", table)
    return pa.table(query.execute("select * from t").read_all())


READERS = {
    f"deltalake {deltalake.__version__} (pyarrow {pa.__version__})": lambda path, table: table.to_pyarrow_table(),
    f"deltalake {deltalake.__version__} (datafusion)": lambda path, table: with_query_engine(table),
    f"polars {polars.__version__}": lambda path, table: polars.read_delta(path).to_arrow(),
}

for folder in sys.argv[1:]:
    for name, read in READERS.items():
        try:
            delta = deltalake.DeltaTable(folder)
            found = summary(name, delta, read(folder, delta))
        except BaseException as error:  # A reader that refuses or panics is a finding, not an accident.
            found = {"reader": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"folder": folder, **found}), flush=True)
