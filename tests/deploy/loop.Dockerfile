# The image under test with what the demo needs beside it: embedded engines and the example agent.
FROM outerloop:test
USER 0
COPY extra.txt /tmp/extra.txt
RUN /opt/outerloop/bin/pip install --no-deps --require-hashes -r /tmp/extra.txt
COPY examples /examples
USER 65532:65532
ENV PYTHONPATH=/examples
ENTRYPOINT ["python"]
