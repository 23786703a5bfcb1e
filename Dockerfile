# What the workflow needs, in the tested versions. Not run: there was no Docker where this was written.
FROM python:3.12-slim
WORKDIR /kc
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kc kc
COPY workflow workflow
COPY docs docs
COPY config.yaml Snakefile ./
RUN pip install --no-cache-dir --constraint constraints.txt '.[workflow,download,s3]'
ENTRYPOINT ["kc"]
