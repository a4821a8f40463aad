"""Rights in Kafka as Strimzi gives them to its KafkaUsers: what its operator does, over the same protocol."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

# Codes of Kafka's protocol (org.apache.kafka.common.acl.AclOperation, resource.ResourceType and PatternType).
_OPERATIONS = {
    "All": 2,
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "ClusterAction": 9,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
    "IdempotentWrite": 12,
}
_RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactionalId": 5}
_PATTERNS = {"literal": 3, "prefix": 4}
_ALLOW = 3


async def grant(bootstrap: str, users: Sequence[Mapping[str, Any]]) -> None:
    """Give these KafkaUsers, as manifests, their rights; by a listener where everything is allowed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for user in users:
            for request in _requests(
                f"User:{user['metadata']['name']}", user["spec"]["authorization"]["acls"]
            ):
                answer = await admin._send_to_controller(request)
                ((code, message),) = answer.creation_responses
                assert code == 0, message
    finally:
        await admin.close()


def _requests(principal: str, acls: Sequence[Mapping[str, Any]]) -> Iterator[CreateAclsRequest]:
    for acl in acls:
        resource = acl["resource"]
        name = resource.get("name", "kafka-cluster")
        kind, pattern = _RESOURCES[resource["type"]], _PATTERNS[resource.get("patternType", "literal")]
        for operation in acl["operations"]:
            yield CreateAclsRequest(
                kind, name, pattern, principal, acl.get("host", "*"), _OPERATIONS[operation], _ALLOW
            )
