"""Object stores - S3, Google Cloud Storage, Azure - for input and output, by URL.

    stores      a bucket by its URL: credentials, retries, errors as people know them
    profiles    credentials for S3 as the tools of AWS know them
    path        one object, with as much of `pathlib.Path` as input and output need
    file        an object as a file that is read in ranges, all of one version
    listing     which objects a URL, a folder or a glob stands for
    lease       one writer at a time, where there is no kernel to ask

Nothing here is loaded before a URL is given.
"""
