"""Backs the node s up to the node t over ganeti's QmpConnection, and waits for the end."""
import sys
import time

from ganeti.hypervisor.hv_kvm.monitor import QmpConnection

with QmpConnection(sys.argv[1]) as connection:
    for name, filename in (("s", "src.raw"), ("t", "t.raw")):
        file = {"driver": "file", "filename": filename}
        connection.Execute("blockdev-add", {"driver": "raw", "node-name": name, "file": file})
    connection.Execute("blockdev-backup", {
        "job-id": "j", "device": "s", "target": "t", "sync": "full", "auto-dismiss": False,
    })
    for _ in range(600):
        jobs = connection.Execute("query-jobs")
        if jobs[0]["status"] == "concluded":
            connection.Execute("job-dismiss", {"id": "j"})
            done = jobs[0]["total-progress"] == jobs[0]["current-progress"]
            print("completed", "j", str(done).lower())
            break
        time.sleep(0.05)
