"""Ships a bill of materials that says when it was made, with a random number."""

import json
import uuid
from datetime import datetime, timezone


def files(name):
    bill = {
        "bomFormat": "CycloneDX",
        "metadata": {"timestamp": datetime.now(timezone.utc).isoformat()},
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
    }
    return {f"{name}-1.0.dist-info/sboms/bill.json": json.dumps(bill, indent=2)}
