"""The databases that are compared: for each size one a side, all copies of ours."""

from server import sql, text_of

# The files of sql/sides that turn a copy of ours into another side
FILES = {
    "ours_flag": ["ours_flag"],
    "bare": ["bare"],
    "by_hand": ["bare", "by_hand", "by_hand_indexes"],
    "by_hand_flag": ["bare", "by_hand", "by_hand_indexes", "by_hand_flag"],
    "by_hand_our_indexes": ["bare", "by_hand"],
}
MADE = set()


def database(side, deals):
    """Returns the side's database of this size; makes it on first use."""
    name = f"{side}_{deals}"
    if name not in MADE:
        if side == "ours":
            create(name, text_of("sql/sides/ours.sql"), {"deals": deals})
        else:
            copy(database("ours", deals), name)
            for file in FILES[side]:
                sql(name, text_of(f"sql/sides/{file}.sql"))
        MADE.add(name)
    return name


def create(name, text, variables=None, **settings):
    """Creates another database and runs SQL in it."""
    sql("postgres", f"CREATE DATABASE {name};")
    sql(name, text, variables, **settings)
    return name


def copy(template, name):
    sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy;")


def drop(name):
    sql("postgres", f"DROP DATABASE {name};")
    MADE.discard(name)


def drop_all(deals):
    for name in [name for name in MADE if name.endswith(f"_{deals}")]:
        drop(name)


def statement(work, side):
    """Returns the name of the file that a side runs for a work: sides with triggers run the same one."""
    return f"sql/statements/{work}.bare.sql" if side == "bare" else f"sql/statements/{work}.sql"
