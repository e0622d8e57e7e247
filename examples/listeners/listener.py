import select
import psycopg

rung = []
with psycopg.connect(autocommit=True) as db:
    db.add_notify_handler(rung.append)
    db.execute("LISTEN crm_deals")
    db.execute("SELECT crm_deals.subscribe('python')")
    while True:
        rung.clear()
        with db.transaction():
            events = db.execute("SELECT id, payload FROM crm_deals.read_events('python')").fetchall()
            for _, payload in events:
                print(payload, flush=True)  # your work
            if events:
                db.execute("SELECT crm_deals.ack_events('python', %s)", [events[-1][0]])
        if not events and not rung:
            select.select([db], [], [], 10)
