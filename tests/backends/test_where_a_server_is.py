"""The form of endpoints, whose host an endpoint names, which region stands in it, and which two are one."""

import pytest

from keystow.backends.endpoints import (
    check_endpoint,
    check_region,
    is_aws,
    is_loopback,
    is_provider,
    is_same,
    origin,
    region_of,
)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.us-west-2.amazonaws.com",
        "http://127.0.0.1:9000",
        "http://[::1]:9000/",
        "HTTPS://Minio_1.example.com:9000/some/path",
        "http://127.0.0.1:10000/devstoreaccount1",
        "http://localhost",
        "https://host.",
    ],
)
def test_an_endpoint(endpoint):
    assert check_endpoint(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:9000",
        "zzz",
        "",
        "file:///etc/passwd",
        "ftp://host",
        "http://",
        "http://[::1",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://host/?query",
        "http://host/#fragment",
        "http://host/a b",
        "http://host/a?",
        "http://host/a#",
        "http://host\n.evil",
        "http://host\\@evil",
        "http://h;AccountName=x",
        "http://host/;AccountKey=x",
        "http://hôst",
        "http://-host-",
        "http:///path",
        "http://ho%73t",
    ],
)
def test_no_endpoint(endpoint):
    with pytest.raises(ValueError, match="is no endpoint: write a URL such as") as caught:
        check_endpoint(endpoint, "AWS_ENDPOINT_URL")
    assert str(caught.value).startswith("AWS_ENDPOINT_URL: ")


@pytest.mark.parametrize(
    "endpoint", ["http://user@host", "http://user:pass@host:9000", "http://:p@host", "http://@host", "me:S@host"]
)
def test_an_endpoint_with_credentials(endpoint):
    with pytest.raises(ValueError, match="holds credentials") as caught:
        check_endpoint(endpoint)
    assert "pass" not in str(caught.value)


def test_regions():
    assert check_region("us-east-1") == "us-east-1"
    assert check_region("Region_1") == "Region_1"
    for region in ["", "us east", "eu-1\n", "a/b", "é"]:
        with pytest.raises(ValueError, match=r"^AWS_REGION: .* is no region"):
            check_region(region, "AWS_REGION")


def test_no_source_is_named_where_none_is_given():
    for check, said in ((check_endpoint, "'z z' is no endpoint: "), (check_region, "'z z' is no region: ")):
        with pytest.raises(ValueError, match=f"^{said}"):
            check("z z")
    with pytest.raises(ValueError, match=r"^the endpoint holds credentials"):
        check_endpoint("http://a@b")
    with pytest.raises(ValueError, match=r"^VARIABLE: the endpoint holds credentials"):
        check_endpoint("http://a@b", "VARIABLE")


def test_origins():
    assert origin("https://host") == ("https", "host", 443)
    assert origin("file:///path") == ("file", "", 0)
    assert origin("http://Host/a") == ("http", "host", 80) == origin("HTTP://host:80")
    assert origin("https://[::1]:9000/x") == ("https", "::1", 9000)
    assert origin("https://host.") == origin("https://host")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "https://127.1.2.3", "http://[::1]:9", "http://localhost", "http://a.localhost"]
)
def test_this_machine(url):
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.evil.com",
        "http://localhost.evil.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://notlocalhost",
    ],
)
def test_another_machine(url):
    assert not is_loopback(url)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("s3", "https://s3.amazonaws.com"),
        ("s3", "https://s3.us-west-2.amazonaws.com"),
        ("s3", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/key"),
        ("s3", "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"),
        ("s3", "https://s3-fips.us-gov-west-1.amazonaws.com"),
        ("s3", "https://s3-us-west-2.amazonaws.com"),
        ("s3", "https://bucket.s3-accelerate.dualstack.amazonaws.com"),
        ("s3", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("gs", "https://storage.googleapis.com"),
        ("gs", "https://storage.europe-west3.rep.googleapis.com"),
        ("gs", "https://storage-endpoint.p.googleapis.com"),
        ("az", "https://account.blob.core.windows.net/"),
        ("az", "https://account.blob.core.usgovcloudapi.net"),
    ],
)
def test_a_host_of_the_provider(kind, url):
    assert is_provider(kind, url)
    assert not is_provider(kind, url.replace("https", "http"))
    assert not is_provider("memory", url)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("s3", "https://ec2-1-2-3-4.compute-1.amazonaws.com"),
        ("s3", "https://abc.execute-api.us-east-1.amazonaws.com"),
        ("s3", "https://my-elb.us-east-1.elb.amazonaws.com"),
        ("s3", "https://s3abcdefgh.execute-api.us-east-1.amazonaws.com"),
        ("s3", "https://s3-evil-123456789.us-east-1.elb.amazonaws.com"),
        ("s3", "https://s3.execute-api.us-east-1.amazonaws.com"),
        ("s3", "https://s3.amazonaws.com.evil.com"),
        ("s3", "https://evils3amazonaws.com"),
        ("gs", "https://googleapis.com.evil.com"),
        ("gs", "https://evilgoogleapis.com"),
        ("gs", "https://storage.evil.com/.googleapis.com"),
        ("gs", "https://storage.googleapis.com@evil.com"),
        ("az", "https://account.blob.core.windows.net.evil.com"),
        ("az", "https://evil.com/account.blob.core.windows.net"),
        ("az", "https://a.b.blob.core.windows.net"),
        ("az", "https://storage.googleapis.com"),
    ],
)
def test_a_host_of_somebody_else(kind, url):
    assert not is_provider(kind, url)


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "https://s3.us-west-2.amazonaws.com",
        "https://bucket.s3.eu-central-1.amazonaws.com/key",
        "https://S3.CN-NORTH-1.AMAZONAWS.COM.CN",
        "https://amazonaws.com",
    ],
)
def test_what_is_aws(endpoint):
    assert is_aws(endpoint) is True


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9000",
        "https://s3.example.com",
        "https://amazonaws.com.example.com",
        "https://notamazonaws.com",
        "https://example.com/amazonaws.com",
        "https://amazonaws.com.au",
        "https:",
        "",
    ],
)
def test_what_is_not_aws(endpoint):
    assert is_aws(endpoint) is False


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3-eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://bucket.s3.dualstack.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("https://s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://vpce-0a1b.s3.us-east-2.vpce.amazonaws.com", "us-east-2"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://s3.amazonaws.com", "us-east-1"),
        ("https://bucket.s3.amazonaws.com", "us-east-1"),
        ("https://buckets3.amazonaws.com", None),
        ("https://s3.us-west-2.amazonaws.com.example.com", None),
        ("https://s3.us-west-2.example.com", None),
        ("http://127.0.0.1:9000", None),
        ("https:", None),
        ("", None),
        (None, None),
    ],
)
def test_the_region_in_a_host(endpoint, region):
    """https://docs.aws.amazon.com/general/latest/gr/s3.html"""
    assert region_of(endpoint) == region


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://a.example.com", "https://A.example.com.:443/"),
        ("http://a.example.com/", "HTTP://a.example.com:80"),
        ("http://a.example.com/s3/", "http://a.example.com/s3"),
        ("http://a.example.com/s3//", "http://a.example.com/s3"),
    ],
)
def test_two_that_are_one(url, other):
    assert is_same(url, other)
    assert is_same(other, url)


@pytest.mark.parametrize(
    "other",
    [
        "http://a.example.com/s3",
        "https://b.example.com/s3",
        "https://a.example.com:8443/s3",
        "https://a.example.com/s3x",
        "https://a.example.com/S3",
        "https://a.example.com",
    ],
)
def test_two_that_are_not(other):
    assert not is_same("https://a.example.com/s3", other)


def test_what_is_no_scheme_of_the_web_has_no_port():
    assert origin("ftp://host/path") == ("ftp", "host", 0)


@pytest.mark.parametrize("wrong", ["host:9000", "https://host/a b", "https://us\\er@host"])
def test_what_is_no_endpoint_is_shown_one(wrong):
    with pytest.raises(ValueError, match=r": write a URL such as https://s3\.us-west-2\.amazonaws\.com$"):
        check_endpoint(wrong)
