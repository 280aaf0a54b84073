//! A message from each format to each format.

use babelmq::{Broker, Config, JsonQueue, PickleQueue, Value, XmlQueue};

#[test]
fn every_direction() {
    let broker =
        Broker::start(Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }).unwrap();
    let address = broker.local_addr();
    let mut json = JsonQueue::builder("/t").address(address).exact(true).consumer().unwrap();
    let mut xml = XmlQueue::builder("/t").address(address).consumer().unwrap();
    let mut pickle = PickleQueue::builder("/t").address(address).consumer().unwrap();
    let value = Value::Dict(vec![
        ("a".into(), Value::Tuple(vec![1.into(), 2.5.into(), Value::None])),
        ("b c".into(), Value::Set(vec!["x\r\n".into()])),
        (7.into(), Value::Bytes(vec![1, 2])),
    ]);
    JsonQueue::builder("/t/a").address(address).producer().unwrap().push_value(&value).unwrap();
    XmlQueue::builder("/t/b").address(address).producer().unwrap().push_value(&value).unwrap();
    PickleQueue::builder("/t/c").address(address).producer().unwrap().push_value(&value).unwrap();
    for _ in 0..3 {
        assert_eq!(json.pull().unwrap().1, value);
        assert_eq!(xml.pull().unwrap().1, value);
        assert_eq!(pickle.pull().unwrap().1, value);
    }
    assert_eq!(broker.list_topics().len(), 3);
    assert_eq!(broker.get_topic("/t/a").unwrap(), Some(value.clone()));
    broker.put_topic("/t/x/y", &value).unwrap();
    assert_eq!(pickle.pull().unwrap().1, value);
    pickle.flush().unwrap();
    assert_eq!(pickle.topics().unwrap().len(), 4);
    broker.shutdown();
}
