from flows.concurrency import device_limit, engine_limit


def test_limits_are_named_after_engine_and_device() -> None:
    assert engine_limit("https://image.baidu.com") == "crawl image.baidu.com"
    assert engine_limit("http://127.0.0.1:8099") == "crawl 127.0.0.1 8099"
    assert device_limit("cuda:0") == device_limit("cuda")
    assert device_limit("cuda:1") != device_limit("cuda:0")
