"""What the gate decides by: pure functions of content and counts; no git, no Kafka, no clock."""
